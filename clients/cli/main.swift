// rhythm
