// RhythmLocalRunner
