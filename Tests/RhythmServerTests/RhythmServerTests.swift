// RhythmServerTests
