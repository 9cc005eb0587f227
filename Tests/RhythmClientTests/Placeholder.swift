// RhythmClientTests
