/* SPDX-License-Identifier: BSD-2-Clause */
/* `candela doctor`: prints the findings, for people or as JSON. */
#include "cli/doctor.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/help.h"

#define STATUS_NOT_OK 1
#define STATUS_USAGE 2

static const char *state_name(enum doctor_state state)
{
	switch (state) {
	case DOCTOR_OK:
		return "ok";
	case DOCTOR_DEGRADED:
		return "degraded";
	case DOCTOR_MISSING:
		break;
	}
	return "missing";
}

static const char *offer_name(enum hyperv_offer offer)
{
	switch (offer) {
	case HYPERV_BY_DEFAULT:
		return "default";
	case HYPERV_ON_REQUEST:
		return "yes";
	case HYPERV_NOT_GIVEN:
		break;
	}
	return "no";
}

static void print_features(const struct doctor_host *h)
{
	if (!h->feature_count)
		return;
	printf("\nHyper-V features of a guest here, for --hyperv-features NAME=on or NAME=off\n"
	       "(default: given unasked; yes: where switched on; no: not on this host):\n"
	       "%-23s%-8s %-8s\n",
	       "", "kernel", "user");
	for (unsigned i = 0; i < h->feature_count; i++)
		printf("%-23s%-8s %-8s%s\n", h->feature[i].name, offer_name(h->feature[i].kernel),
		       offer_name(h->feature[i].user), h->feature[i].reason);
	putchar('\n');
}

static void print_text(const struct doctor_report *r, const struct doctor_host *h)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct doctor_item *item = &r->item[i];

		printf("%-9s %-20s %s\n", state_name(item->state), item->name, item->text);
		if (item->advice[0])
			printf("%-30s -> %s\n", "", item->advice);
	}
	print_features(h);
	if (r->ok)
		printf("A stock guest can run here, on the %s back end.\n", r->backend);
	else
		printf("A stock guest cannot run here: see what is missing above.\n");
}

static void set_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text ? json_object_new_string(text) : NULL);
}

static void set_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

static struct json_object *json_items(const struct doctor_report *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->count; i++) {
		struct json_object *o = json_object_new_object();

		set_text(o, "name", r->item[i].name);
		set_text(o, "state", state_name(r->item[i].state));
		set_text(o, "text", r->item[i].text);
		set_text(o, "advice", r->item[i].advice);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *json_capabilities(const struct doctor_host *h)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < h->need_count; i++) {
		struct json_object *o = json_object_new_object();

		set_text(o, "name", h->need[i].name);
		set_text(o, "what", h->need[i].what);
		set_bool(o, "present", h->need[i].present);
		set_bool(o, "kernel", h->need[i].for_kernel);
		set_bool(o, "user", h->need[i].for_user);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *json_features(const struct doctor_host *h)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < h->feature_count; i++) {
		struct json_object *o = json_object_new_object();

		set_text(o, "name", h->feature[i].name);
		set_text(o, "kernel", offer_name(h->feature[i].kernel));
		set_text(o, "user", offer_name(h->feature[i].user));
		set_text(o, "reason", h->feature[i].reason);
		json_object_array_add(list, o);
	}
	return list;
}

static void print_json(const struct doctor_report *r, const struct doctor_host *h)
{
	struct json_object *o = json_object_new_object();

	set_text(o, "candela", CANDELA_VERSION);
	set_bool(o, "ok", r->ok);
	set_text(o, "backend", r->backend);
	json_object_object_add(o, "items", json_items(r));
	json_object_object_add(o, "capabilities", json_capabilities(h));
	json_object_object_add(o, "features", json_features(h));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int doctor_main(int argc, char **argv)
{
	struct doctor_host host;
	struct doctor_report report;
	bool json = false;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			return help_print("doctor");
		if (strcmp(argv[i], "--json")) {
			log_error("%s: `candela doctor` takes --json only", argv[i]);
			return STATUS_USAGE;
		}
		json = true;
	}
	doctor_look(&host);
	doctor_judge(&report, &host);
	if (json)
		print_json(&report, &host);
	else
		print_text(&report, &host);
	return fflush(stdout) || !report.ok ? STATUS_NOT_OK : 0;
}
