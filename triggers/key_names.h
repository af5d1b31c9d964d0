/* SPDX-License-Identifier: Apache-2.0 */
/* Names of keys and buttons as the kernel's headers have them (KEY_F1, BTN_LEFT), and their numbers. */
#ifndef TRIGGERS_KEY_NAMES_H
#define TRIGGERS_KEY_NAMES_H

/* A name or a decimal number below KEY_CNT; -1: neither. */
int key_code(const char *name);
/* NULL: it has none. */
const char *key_name(unsigned code);

#endif
