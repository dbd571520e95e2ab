import RelayCore
import Testing

@Suite("URLs of webhooks") struct WebhookURLTests {
    @Test(
        "Valid URLs are read",
        arguments: [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM/A?b=c%20d", "https://example.com/A?b=c%20d"),
            ("https://example.com:8443/x", "https://example.com:8443/x"),
            ("https://example.com:443/", "https://example.com/"),
            ("http://127.0.0.1:80?x", "http://127.0.0.1/?x"),
            ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
            ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
            ("https://localhost:1/", "https://localhost:1/"),
            ("https://my_host.internal/", "https://my_host.internal/"), ("https://1.example/", "https://1.example/"),
        ]) func read(text: String, normal: String) throws
    {
        #expect(try WebhookURL(text).text == normal)
    }

    @Test(
        "Invalid URLs are refused",
        arguments: [
            "", "example.com", "ftp://example.com/", "file:///etc/passwd", "https:example.com", "https://",
            "https:///x",
            "https://user@example.com/", "https://user:pw@example.com/", "https://example.com@evil.example/",
            "https://example.com/#f", "https://example.com#@evil.example/", "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:/", "https://example.com:8x/", "https://example.com./", "https://.example.com/",
            "https://a..b/", "https://-a.example/", "https://a-.example/", "https://example.com\\@evil.example/",
            "https://exa mple.com/", "https://example.com/ x", "https://example.com/\n", "https://b\u{FC}cher.example/",
            "https://example.com/%zz", "https://example.com/%2", "https://example.com/<x>", "https://example.com/\"",
            // IPv4 addresses in other spellings.
            "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://127.0.1/",
            "https://0177.0.0.1/", "https://127.0.0.1./", "https://017700000001/", "https://0x7F.0x0.0x0.0x1/",
            "https://127.0.0.0x1/", "https://256.0.0.1/", "https://1.2.3.4.5/", "https://127.0.0.1%2f/", "https://%31/",
            "https://\u{FF11}27.0.0.1/",
            // IPv6 addresses with zones or without brackets.
            "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://::1/", "https://[::1/",
            "https://[127.0.0.1]/",
            "https://[v1.x]/", "https://[::1]x/", "https://[]/",
        ]) func refused(text: String)
    {
        #expect(throws: WebhookURL.Mistake.self) { try WebhookURL(text) }
    }

    @Test("The length of a URL is limited") func length() {
        #expect(throws: Never.self) { try WebhookURL("https://a.example/" + String(repeating: "x", count: 2030)) }
        #expect(throws: WebhookURL.Mistake.self) {
            try WebhookURL("https://a.example/" + String(repeating: "x", count: 2031))
        }
    }
}
