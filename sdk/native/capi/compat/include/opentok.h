/* For programs that include the vendor's name: the same functions, of libsealroute. */
#ifndef SEALROUTE_COMPAT_OPENTOK_H
#define SEALROUTE_COMPAT_OPENTOK_H
#include "sealroute.h"
/* Some programs sleep without asking for it. */
#include <unistd.h>
#endif
