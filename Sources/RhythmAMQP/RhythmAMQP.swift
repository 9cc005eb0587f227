// The first file of RhythmAMQP.
