// RhythmWireTests
