import Listening
import Logging
import RelayCore
import SMTPServer
import Settings
import Testing

@testable import hiveku_relay

@Suite struct ListenPlacesTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private var settings = RelaySettings()

    private func manager(_ names: String...) -> ServiceManager {
        ServiceManager(
            environment: [
                "LISTEN_PID": "7", "LISTEN_FDS": "\(names.count)", "LISTEN_FDNAMES": names.joined(separator: ":"),
            ], processID: 7)
    }

    private func places(_ settings: RelaySettings, _ manager: ServiceManager) throws -> ListenPlaces {
        try ListenPlaces(settings, manager, logger: logger)
    }

    @Test func listensAtTheConfiguredAddresses() throws {
        var settings = settings
        settings.listen = [
            .address(.startTLS, host: "::", port: 587),
            .address(.implicitTLS, host: "127.0.0.1", port: 465, proxy: true),
        ]
        settings.http.listen = [.address(.https, host: "::", port: 443), .unix(path: "/run/http.sock")]
        let places = try places(settings, manager())
        #expect(
            places.smtp == [
                SMTPListener(.address(host: "::", port: 587), .startTLS),
                SMTPListener(.address(host: "127.0.0.1", port: 465), .implicitTLS, takesProxyHeader: true),
            ])
        #expect(
            places.http == [
                HTTPListener(.address(host: "::", port: 443), isTLS: true),
                HTTPListener(.unix(path: "/run/http.sock"), isTLS: false),
            ])
    }

    /// The name of each socket says what it is for. The order of the sockets does not matter.
    @Test func inheritedSocketsAreUsedByName() throws {
        var settings = settings
        settings.listen = [.inheritedSockets]
        settings.http.listen = [.inheritedSockets]
        settings.proxyNetworks = [try NetworkBlock("192.0.2.0/24")]
        let places = try places(settings, manager("http", "smtps+proxy", "https", "smtp"))
        #expect(
            places.smtp == [
                SMTPListener(.descriptor(4), .implicitTLS, takesProxyHeader: true),
                SMTPListener(.descriptor(6), .startTLS),
            ])
        #expect(
            places.http == [
                HTTPListener(.descriptor(3), isTLS: false), HTTPListener(.descriptor(5), isTLS: true),
            ])
    }

    @Test func unusedInheritedSocketIsIgnored() throws {
        var settings = settings
        settings.listen = [.inheritedSockets]
        let places = try places(settings, manager("smtp", "https"))
        #expect(places.smtp == [SMTPListener(.descriptor(3), .startTLS)] && places.http.isEmpty)
    }

    @Test func unusableInheritedSocketsPreventTheStart() throws {
        var settings = settings
        settings.listen = [.inheritedSockets]
        // There is no socket, no socket for SMTP, a socket with an unknown name, or a socket for a load balancer
        // although `proxy_networks` is empty.
        for manager in [manager(), manager("https"), manager("smtp", "imap"), manager("smtp+proxy")] {
            #expect(throws: CommandError.self) { try places(settings, manager) }
        }
        settings.listen = []
        settings.http.listen = [.inheritedSockets]
        #expect(throws: CommandError.self) { try places(settings, manager("smtp")) }
    }

    /// systemd has already bound the sockets, so root binds nothing.
    @Test func rootBindsNothingWithInheritedSockets() throws {
        var settings = settings
        settings.listen = [.inheritedSockets]
        #expect(try ListenPlaces.bound(settings) == nil)
    }
}
