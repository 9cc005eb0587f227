// RhythmCoreTests
