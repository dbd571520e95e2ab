import Foundation
import TestSupport
import Testing

@testable import hiveku_relay

/// The environment that systemd makes for a service.
@Suite struct ServiceManagerTests {
    @Test(
        arguments: [
            ([:], nil),
            (["WATCHDOG_USEC": "30000000"], .seconds(30)),
            (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"], .seconds(30)),
            (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"], nil),
            (["WATCHDOG_USEC": "0"], nil),
            (["WATCHDOG_USEC": "soon"], nil),
        ] as [([String: String], Duration?)])
    func watchdogInterval(_ environment: [String: String], _ interval: Duration?) {
        #expect(ServiceManager(environment: environment, processID: 7).watchdogInterval == interval)
    }

    /// Variables that systemd set for a parent process do not apply to this one.
    @Test(arguments: [
        [:], ["LISTEN_PID": "8", "LISTEN_FDS": "1"], ["LISTEN_PID": "7", "LISTEN_FDS": "0"],
        ["LISTEN_PID": "7", "LISTEN_FDS": "65"], ["LISTEN_PID": "7"], ["LISTEN_FDS": "1"],
    ])
    func noSockets(_ environment: [String: String]) {
        #expect(ServiceManager(environment: environment, processID: 7).sockets.isEmpty)
    }

    @Test func socketsWithAndWithoutName() {
        let sockets = ServiceManager(
            environment: ["LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "smtp:https"], processID: 7
        ).sockets
        #expect(sockets.map(\.descriptor) == [3, 4, 5])
        #expect(sockets.map(\.name) == ["smtp", "https", ""])
    }

    @Test func journalIsDetectedOnlyForTheStreamItNames() {
        #expect(!ServiceManager.readsStandardError([:]))
        #expect(!ServiceManager.readsStandardError(["JOURNAL_STREAM": "0:0"]))
    }
}
