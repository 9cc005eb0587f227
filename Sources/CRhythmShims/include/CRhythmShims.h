// What Swift cannot call by itself.
#pragma once
#include "polling.h"
#include "process.h"
#include "sockets.h"
