import RelayCore
import Testing

@Suite struct LikelySecretTests {
    @Test(arguments: [
        // Keys: whole, cut off within a sentence, in capitals, with other, missing or additional separators, and after
        // a letter.
        ("hk_live_A1b2C3d4abcdefghijklmnopqrstuvwxyz012345", "hk_live_A1b2C3d4…"),
        ("no key 'hk_test_A1b2C3d4abcdefghijklm' here", "no key 'hk_test_A1b2C3d4…' here"),
        ("HK_LIVE_A1B2C3D4ABCDEFGHIJKLMNOP", "HK_LIVE_A1B2C3D4…"),
        ("hk-live-A1b2C3d4abcdefghijkl", "hk-live-A1b2C3d4…"),
        ("hklive_A1b2C3d4abcdefghijkl", "hklive_A1b2C3d4…"),
        ("hk_live_A1b2C3d4_abcdefghijkl", "hk_live_A1b2C3d4…"),
        ("xhk_live_A1b2C3d4abcdefghijkl", "xhk_live_A1b2C3d4…"),
        // A key without its beginning, and a key with a blank in it.
        ("A1b2C3d4kJ8sDf3Gh5Kl0QwErTy7Zx", "…"),
        ("hk_live_A1b2 C3d4kJ8sDf3Gh5Kl0QwErTy7Zx", "hk_live_A1b2 …"),
        // Secrets of webhooks, even if their base64 text is not a mixture of letters and digits.
        ("no webhook has the id whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no webhook has the id whsec_…"),
        ("whsec_aaaaaaaaaa/aaaaaaa+a", "whsec_…"),
        // AWS credentials: the examples of the documentation, and a session token.
        ("AKIAIOSFODNN7EXAMPLE", "AKIA…"), ("ASIAIOSFODNN7EXAMPLE", "ASIA…"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "…"),
        ("IQoJb3JpZ2luX2VjEK7aCXVzLWVhc3QtMSJHMEUCIQ==", "…"),
        // A password in a URI, even if it contains an @ or a slash.
        ("'postgresql://relay:geheim@db.example/relay' is", "'postgresql://relay:…@db.example/relay' is"),
        ("postgresql://relay:ge@h/eim@db.example:5432/relay", "postgresql://relay:…@db.example:5432/relay"),
        ("postgresql://db.example/relay?user=a&password=geheim x", "postgresql://db.example/relay?user=a&password=… x"),
    ])
    func withheld(text: String, told: String) {
        #expect(LikelySecret.withheld(in: text) == told)
        #expect(LikelySecret.isIn(text))
    }

    @Test(arguments: [
        "", "relay.example.com", "/etc/letsencrypt/live/relay.example.com/fullchain.pem", "hk_live_A1b2C3d4",
        "A1b2C3d4", "wh_0123456789abcdefghjk", "whsec_",
        "2z4k9q0x1m7ab", "submission.max_connections_per_client", "/var/lib/hiveku-relay/Relay-2026-production.db",
        "MarketingEmails2026Production", "arn:aws:ses:eu-central-1:123456789012:configuration-set/Transactional",
        "email.vpce-0123456789abcdef0-abcdefgh.email.eu-central-1.vpce.amazonaws.com", "2001:db8::/32",
        "Größe überschritten", "postgresql://relay@db.example:5432/relay", "https://hooks.example:8443/a",
        "a1b2c3d4e5f60718293a4b5c6d7e8f90", "the test of hk and live words", "/home/Jane/Projects2026/relay/relay.yaml",
    ])
    func ordinaryTextStays(text: String) {
        #expect(LikelySecret.withheld(in: text) == text)
    }

    @Test func everyTruncatedKeyIsStillWithheld() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let key = APIKey(generating: .live, using: &generator).revealed
            for length in 20...key.count {
                let told = LikelySecret.withheld(in: "key '\(key.prefix(length))'")
                #expect(told == "key '\(key.prefix(16))…'")
            }
        }
    }
}
