/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The permission sheet: what a function asks for, in words that its operator can judge; and what an
 * upgrade changes. The JSON is that of proto/manifest_sheet.h.
 */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include <jansson.h>
#include <stdio.h>

void sheet_print(const json_t *sheet, FILE *out);
/* One line for each difference, or that there is none. */
void sheet_diff_print(const json_t *before, const json_t *after, FILE *out);

#endif
