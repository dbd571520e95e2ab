import Testing

@testable import RelayCore

@Suite("Addresses that webhooks may reach") struct WebhookAddressPolicyTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    @Test(
        "Public addresses may be reached",
        arguments: [
            "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
            "169.253.0.1", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.0.1", "198.17.0.1", "198.20.0.1",
            "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ]) func isPublic(text: String) throws
    {
        #expect(WebhookAddressPolicy.isPublic(try address(text)))
    }

    @Test(
        "Other addresses may not be reached",
        arguments: [
            "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
            "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1", "255.255.255.255",
            "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "fc00::1",
            "fd00:ec2::254",
            "fe80::1", "febf::1", "fec0::1", "ff02::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1",
            "2001:20::1",
            "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:101:101::1", "3fff::1", "5f00::1", "4000::1",
        ]) func isNotPublic(text: String) throws
    {
        #expect(!WebhookAddressPolicy.isPublic(try address(text)))
    }

    @Test("Each block of the tables can be read") func tables() {
        for texts in [WebhookAddressPolicy.special4Texts, WebhookAddressPolicy.special6Texts] {
            #expect(WebhookAddressPolicy.blocks(texts).count == texts.count)
        }
    }

    @Test("Networks that the operator names are exempt, and may be reached without TLS") func exempt() throws {
        let policy = WebhookAddressPolicy(privateNetworks: [
            try NetworkBlock("10.1.0.0/16"), try NetworkBlock("fd00::/8"),
        ])
        let clear = try WebhookURL("http://hook.internal/")
        let tls = try WebhookURL("https://hook.internal/")
        #expect(policy.refusal(of: clear) == nil && policy.refusal(of: tls) == nil)
        let found = try ["10.1.2.3", "10.2.0.1", "1.1.1.1", "fd00::1", "::1"].map(address)
        #expect(try policy.permitted(found, for: clear).get() == [address("10.1.2.3"), address("fd00::1")])
        #expect(
            try policy.permitted(found, for: tls).get() == [
                address("10.1.2.3"), address("1.1.1.1"), address("fd00::1"),
            ])
        #expect(policy.refusal(of: try WebhookURL("http://10.1.2.3/")) == nil)
        #expect(policy.refusal(of: try WebhookURL("http://1.1.1.1/")) != nil)
        #expect(policy.refusal(of: try WebhookURL("https://[::ffff:10.1.2.3]/")) == nil)
    }

    @Test("Each address of a name is checked separately") func names() throws {
        let policy = WebhookAddressPolicy()
        let url = try WebhookURL("https://rebind.example/")
        #expect(policy.refusal(of: url) == nil)
        #expect(throws: WebhookURL.Mistake.self) { try policy.permitted([address("127.0.0.1")], for: url).get() }
        #expect(throws: WebhookURL.Mistake.self) { try policy.permitted([], for: url).get() }
        #expect(
            try policy.permitted([address("10.0.0.1"), address("1.1.1.1")], for: url).get() == [address("1.1.1.1")])
        #expect(policy.refusal(of: try WebhookURL("http://rebind.example/")) != nil)
        #expect(policy.refusal(of: try WebhookURL("https://169.254.169.254/")) != nil)
    }
}
