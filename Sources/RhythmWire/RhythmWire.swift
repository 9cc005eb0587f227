// RhythmWire
