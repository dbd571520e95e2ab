import InternetMessage
import RelayCore
import SQLiteStore
import TestSupport

/// A message of some 4 KB as an application sends it.
func sampleMessage() -> [UInt8] {
    let header = """
        From: "Shop, the" <orders@example.com>\r
        To: =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <recipient@example.net>\r
        Subject: =?UTF-8?B?SWhyZSBCZXN0ZWxsdW5nIE5yLiA0Mg==?=\r
        Date: Wed, 25 Nov 2026 12:00:00 +0000\r
        Message-ID: <order-42@shop.example.com>\r
        Reply-To: service@example.com\r
        MIME-Version: 1.0\r
        Content-Type: text/plain; charset=utf-8\r
        Content-Transfer-Encoding: quoted-printable\r
        X-Mailer: Shop 7.1\r
        List-Unsubscribe: <https://example.com/unsubscribe?id=42>,\r
         <mailto:unsubscribe@example.com>\r
        \r\n
        """
    let line = "The line of a message, of the length that most lines have in mail today.\r\n"
    return Array((header + String(repeating: line, count: 4096 / line.utf8.count)).utf8)
}

/// Addresses of the envelope. They are valid constants, so parsing them can't fail.
let sampleSender = address("orders@example.com")
let sampleRecipient = address("recipient@example.net")

private func address(_ text: String) -> AddrSpec {
    do {
        return try AddrSpec(parsing: Array(text.utf8))
    } catch {
        preconditionFailure("\(text): \(error)")
    }
}

/// A test key whose rate is so high that it limits nothing.
public func sampleKey() -> (secret: APIKey, stored: StoredKey) {
    Sample.key(createdAt: SystemClock().now()) { $0.limits = SendingLimits(perSecond: 1_000_000_000) }
}

/// A store on a disk, synced as in production. Its directory is deleted with it.
struct SampleStore {
    let store: SQLiteStore
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        store = try SQLiteStore(path: directory.file("relay.db"), role: .relay, now: SystemClock().now())
    }
}
