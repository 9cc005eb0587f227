// The first file of RhythmStoreMongo.
