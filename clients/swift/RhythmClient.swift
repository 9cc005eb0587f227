// RhythmClient
