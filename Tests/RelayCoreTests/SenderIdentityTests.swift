import RelayCore
import Testing

@Suite struct SenderIdentityTests {
    @Test(arguments: [
        "a@example.com", "a@shop.example", "a@b.test", "a@localhost.example.com", "a@local.net", "a@x.home.arpa.com",
        "a@xn--bcher-kva.example", "\"a@web01\"@example.com", "a@arpa.arpa",
    ])
    func mayBeVerified(_ address: String) { #expect(SenderIdentity.obstacle(to: address) == nil) }

    /// Addresses that can't be verified, and words that say why.
    @Test(arguments: [
        ("www-data@web01", "'web01'"), ("root@localhost", "'localhost'"),
        ("a@[192.0.2.7]", "address literal"), ("a@[IPv6:2001:db8::1]", "address literal"), ("a@nas.local", ".local"),
        ("a@NAS.LOCAL", ".local"), ("a@host.localdomain", ".localdomain"), ("a@host.lan", ".lan"),
        ("a@db.internal", ".internal"), ("a@b.invalid", ".invalid"), ("a@b.localhost", ".localhost"),
        ("a@b.home.arpa", ".home.arpa"), ("a@", "no domain"), ("web01", "'web01'"), ("", "no domain"),
    ])
    func canNot(_ address: String, _ words: String) {
        #expect(SenderIdentity.obstacle(to: address)?.contains(words) == true)
    }
}
