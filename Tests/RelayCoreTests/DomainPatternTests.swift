import Testing

@testable import RelayCore

@Suite("Domain allowlist")
struct DomainPatternTests {
    @Test(
        "An exact domain matches only itself, and a suffix matches only its subdomains",
        arguments: [
            (
                "example.com", ["example.com"],
                ["www.example.com", "evilexample.com", "example.co", "example.com.evil", "xample.com", ""]
            ),
            (
                "*.example.com", ["a.example.com", "a.b.example.com", "xn--bcher-kva.example.com"],
                [
                    "example.com", "evilexample.com", ".example.com", "example.com.evil.test",
                    "a.example.com.evil.test",
                    "aexample.com", "a-example.com", "", "com", ".",
                ]
            ),
            ("*.com", ["example.com", "a.example.com"], ["com", "example.org", "excom"]),
            ("xn--bcher-kva.example", ["xn--bcher-kva.example"], ["bcher.example", "b\u{FC}cher.example"]),
        ] as [(String, [String], [String])])
    func matching(pattern: String, allowed: [String], refused: [String]) {
        let pattern = DomainPattern(normalised: pattern)
        for domain in allowed { #expect(pattern.matches(domain), "\(domain)") }
        for domain in refused { #expect(!pattern.matches(domain), "\(domain)") }
    }

    @Test("A pattern is written as it was given", arguments: ["example.com", "*.example.com"])
    func description(text: String) {
        #expect(DomainPattern(normalised: text).description == text)
    }
}
