// The first file of RhythmMongo.
