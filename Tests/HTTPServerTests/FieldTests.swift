import HTTPTypes
import RelayCore
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct FieldTests {
    private static let key = "hk_test_" + String(repeating: "A", count: 40)

    // MARK: Authorization

    @Test(
        arguments: [
            ([], BearerCredentials.none), (["Bearer abc"], .token("abc")), (["bearer abc"], .token("abc")),
            (["BEARER   abc"], .token("abc")), (["Bearer"], .token("")),
            (["Bearer a b"], .token("a b")),
        ] as [([String], BearerCredentials)])
    func credentials(_ values: [String], _ expected: BearerCredentials) {
        #expect(BearerCredentials(fields(.authorization, values)) == expected)
    }

    @Test(arguments: [
        ([key], ["Authorization", "word", "Bearer"]), (["Basic abc"], ["Authorization", "scheme", "Bearer"]),
        (["Bearer a", "Bearer b"], ["Authorization", "2"]),
    ])
    func mistakesAreNamed(_ values: [String], _ facts: [String]) {
        guard case .malformed(let sentence) = BearerCredentials(fields(.authorization, values)) else {
            Issue.record("the malformed credentials were accepted")
            return
        }
        #expect(sentence.mentions(facts))
        #expect(!sentence.contains(FieldTests.key))
    }

    // MARK: X-Forwarded-For

    private func proxies() throws -> [NetworkBlock] { try ["10.0.0.0/8", "fd00::/8"].map { try NetworkBlock($0) } }

    @Test(arguments: [
        // The field is ignored if the peer is not a trusted proxy.
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"), ("192.0.2.1", [], "192.0.2.1"), ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["198.51.100.7"], "198.51.100.7"), ("10.1.1.1", ["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        // The addresses that the client itself wrote come first in the field. They do not count.
        ("10.1.1.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9", "198.51.100.7", "10.3.3.3"], "198.51.100.7"),
        ("10.1.1.1", ["10.2.2.2, 10.3.3.3"], "10.1.1.1"), ("fd00::1", [" 2001:db8::1 "], "2001:db8::1"),
        ("10.1.1.1", ["[2001:db8::1]:443"], "2001:db8::1"), ("10.1.1.1", ["198.51.100.7:5555"], "198.51.100.7"),
        ("10.1.1.1", ["::ffff:198.51.100.7"], "198.51.100.7"), ("10.1.1.1", ["198.51.100.7,"], "198.51.100.7"),
        ("10.1.1.1", ["", " , "], "10.1.1.1"),
    ])
    func forwardedFor(_ peer: String, _ values: [String], _ expected: String) throws {
        let address = ForwardedClient.address(
            peer: try #require(IPAddress(peer)), fields(.xForwardedFor, values), trusted: try proxies())
        #expect(address == IPAddress(expected))
    }

    @Test(arguments: [
        "unknown", "198.51.100.7, x", "[2001:db8::1", "999.1.1.1", "_hidden", "198.51.100.7:x", "[2001:db8::1]x",
        "198.51.100.7:99999", "[2001:db8::1]:",
    ])
    func aTrustedProxyThatSendsNoAddressIsNotTakenForTheClient(_ value: String) throws {
        let address = ForwardedClient.address(
            peer: try #require(IPAddress("10.1.1.1")), fields(.xForwardedFor, [value]), trusted: try proxies())
        #expect(address == nil)
    }

    private func fields(_ name: HTTPField.Name, _ values: [String]) -> HTTPFields {
        HTTPFields(values.map { HTTPField(name: name, value: $0) })
    }
}
