// RhythmEngine
