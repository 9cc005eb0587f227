// What Swift cannot call by itself.
#pragma once
#include "process.h"
#include "sockets.h"
