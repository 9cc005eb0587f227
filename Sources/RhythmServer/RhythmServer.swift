// RhythmServer
