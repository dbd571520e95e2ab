import NIOOpenSSL
import RelayCore
import Testing

@testable import Diagnosis

/// 2026-11-24T14:33:17Z.
let now = Timestamp(milliseconds: 1_795_530_797_000)

func days(_ number: Double) -> Duration { .seconds(number * 86_400) }

extension TLSCertificateInfo {
    static func example(
        names: [String] = ["smtp.example.com"], from: Duration = days(-30), to: Duration = days(60),
        isSelfSigned: Bool = false, intermediates: Int = 1, fingerprint: String = "aa"
    ) -> TLSCertificateInfo {
        TLSCertificateInfo(
            source: "/tls/cert.pem", commonName: names.first, dnsNames: names,
            notBefore: (now + from).milliseconds / 1000, notAfter: (now + to).milliseconds / 1000, keyType: "EC",
            isSelfSigned: isSelfSigned, intermediates: intermediates, fingerprint: fingerprint)
    }
}

extension Key {
    static func example(
        _ id: String = "Ab3dE6gH", _ environment: Environment = .live, domains: [String] = [],
        scopes: Set<Scope> = [.send],
        expiresAt: Timestamp? = nil, revokedAt: Timestamp? = nil
    ) throws -> Key {
        Key(
            id: try #require(KeyID(id)), name: "shop", environment: environment, scopes: scopes,
            domains: domains.map(DomainPattern.init(normalised:)), createdAt: now - days(100), expiresAt: expiresAt,
            revokedAt: revokedAt)
    }
}

/// Expects one finding with this outcome and these words in it. It must have a remedy unless the outcome is `.ok`.
func expect(
    _ findings: [Finding], _ outcome: Finding.Outcome, _ words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expect(findings, outcome, words: words, sourceLocation: sourceLocation)
}

func expect(
    _ findings: [Finding], _ outcome: Finding.Outcome, words: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(findings.map(\.outcome) == [outcome], sourceLocation: sourceLocation)
    for finding in findings {
        #expect((finding.remedy == nil) == (outcome == .ok), sourceLocation: sourceLocation)
        let text = finding.found + "\n" + (finding.remedy ?? "")
        for word in words { #expect(text.contains(word), "\(text)", sourceLocation: sourceLocation) }
    }
}
