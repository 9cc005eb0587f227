// RhythmInProcessRunner
