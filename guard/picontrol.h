/* SPDX-License-Identifier: Apache-2.0 */
/* The one request of piControl's that the guard makes (its header is not packaged). */
#ifndef GUARD_PICONTROL_H
#define GUARD_PICONTROL_H

#include <sys/ioctl.h>

#define PICONTROL_SET_VALUE _IO('K', 16) /* struct SPIValue */

#endif
