// RhythmStoreSQLite
