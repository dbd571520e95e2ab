import AWSTestSupport
import Testing

@testable import AWSClient
@testable import SESTransport

@Suite struct ConfigurationTests {
    @Test(
        arguments: [
            (nil, "https://email.eu-west-1.amazonaws.com", "email.eu-west-1.amazonaws.com", ""),
            ("https://vpce.example.com", "https://vpce.example.com", "vpce.example.com", ""),
            ("https://vpce.example.com:443/", "https://vpce.example.com", "vpce.example.com", ""),
            ("HTTP://127.0.0.1:5000", "http://127.0.0.1:5000", "127.0.0.1:5000", ""),
            ("http://[::1]:5000/base/", "http://[::1]:5000", "[::1]:5000", "/base"),
            ("http://localhost:80/a%20b", "http://localhost", "localhost", "/a%20b"),
        ] as [(String?, String, String, String)])
    func takesEndpointsApart(given: String?, origin: String, host: String, path: String) throws {
        let endpoint = try SESConfiguration(region: "eu-west-1", endpoint: given).endpoint
        #expect(endpoint.origin == origin)
        #expect(endpoint.host == host)
        #expect(endpoint.path == path)
    }

    @Test(arguments: [
        "", "email.example.com", "ftp://example.com", "https://", "https://user@example.com", "https://a:b@example.com",
        "https://example.com/?x=1", "https://example.com/#x", "https://exa mple.com",
    ])
    func refusesOtherEndpoints(_ text: String) {
        #expect {
            try SESConfiguration(region: "eu-west-1", endpoint: text)
        } throws: { error in
            guard case .endpoint? = error as? SESConfigurationError else { return false }
            return "\(error)".contains("ses.endpoint")
        }
    }

    @Test(arguments: [
        "", "EU-WEST-1", "eu west", "eu-west-1.evil.com/", "-eu", "eu-", String(repeating: "a", count: 64),
    ])
    func refusesInvalidRegions(_ region: String) {
        #expect(throws: SESConfigurationError.region) { try SESConfiguration(region: region) }
    }

    @Test(arguments: ["", "a b", "ä", String(repeating: "a", count: 65)])
    func refusesInvalidConfigurationSets(_ name: String) {
        #expect(throws: SESConfigurationError.configurationSet) {
            try SESConfiguration(region: "eu-west-1", configurationSet: name)
        }
    }

    @Test func givesLargerBodiesMoreTime() throws {
        let configuration = try SESConfiguration(region: "eu-west-1")
        #expect(configuration.timeout(forLength: 1000) == .seconds(60))
        #expect(configuration.timeout(forLength: 40 << 20) == .seconds(60 + 320))
    }
}
