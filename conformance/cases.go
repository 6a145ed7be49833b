package conformance

import "slices"

// allCases returns the cases of Run in the order in which they run. A new table of cases
// is added here.
func allCases() []testCase {
	return slices.Concat(
		aclCases,
		clientsCases,
		eio3Cases,
		jsonpCases,
		handshakeCases,
		pollingCases,
		codeCases("exits", "code that ends its goroutine ends nothing else: ", exitsRows),
		exitsCases,
		panicsHandedCases,
		generationsCases,
		hostsCases,
		originsCases,
		connectKickedCases(),
		joinCases,
		lifeCases,
		lifetimeCases,
		heartbeatFullInboxCases(),
		limitsPendingCases(),
		limitsCases,
		rateLimitCases,
		noticesCases(),
		noticesFloodCases,
		goodbyeCases(),
		besideCases(),
		orderCases,
		packetsAcceptedCases(),
		packetsRefusedCases(),
		codeCases("panics", "a panic ends nothing: ", slices.Concat(panicsRows, panicsRequestRows)),
		recoveryCases,
		requestCases,
		reservedCases,
		sio1Cases,
		sio1SessionCases,
		socketCases,
		eventCases,
		errorsCases(),
		errorsUpgradeCases(),
		pollingBadPayloadCases(),
		websocketBadFrameCases(),
		upgradeCases,
		websocketCases,
		wireCases,
	)
}

// allSessionCases returns the cases of Sessions.
func allSessionCases() []sessionCase {
	return slices.Concat(sessionCases, logoutSessionCases, goneSessionCases)
}

// allCookieCases returns the cases of CookieSessions.
func allCookieCases() []sessionCase { return slices.Concat(cookieCases, goneCookieCases) }
