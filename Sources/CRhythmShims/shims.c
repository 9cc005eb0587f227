#include "CRhythmShims.h"
