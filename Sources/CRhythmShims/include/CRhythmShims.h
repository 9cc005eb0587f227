#pragma once
#include "sockets.h"
