// The first file of RhythmCelery.
