// RhythmTesting
