// RhythmEngineTests
