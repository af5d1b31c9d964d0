// SPDX-License-Identifier: Apache-2.0
// Node-RED as a benchmark peer: no editor, no listening socket, nothing sent to anyone.
module.exports = {
	uiHost: "127.0.0.1",
	httpAdminRoot: false,
	httpNodeRoot: false,
	disableEditor: true,
	telemetry: { enabled: false, updateNotification: false },
	externalModules: {
		autoInstall: false,
		palette: { allowInstall: false, allowUpload: false },
		modules: { allowInstall: false },
	},
	credentialSecret: false,
	runtimeState: { enabled: false, ui: false },
	diagnostics: { enabled: false, ui: false },
	logging: { console: { level: "warn", metrics: false, audit: false } },
};
