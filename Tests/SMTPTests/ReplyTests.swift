import NIOCore
import TestSupport
import Testing

@testable import SMTP

@Suite("Replies on the wire")
struct ReplyTests {
    private static func wire(_ reply: Reply) -> String {
        var output = ByteBuffer()
        reply.write(into: &output)
        return text(output.readableBytesView)
    }

    @Test(
        "The octets of a reply on the wire",
        arguments: [
            (Reply(250, EnhancedStatus(0, 0), "Ok"), #"250 2.0.0 Ok\r\n"#),
            (Reply(354, nil, "Go"), #"354 Go\r\n"#),
            (Reply(334, nil, ""), #"334 \r\n"#),
            (Reply(250, nil, lines: ["a", "b", "c"]), #"250-a\r\n250-b\r\n250 c\r\n"#),
            (
                Reply(535, EnhancedStatus(7, 8), "one", "two", reason: "key-unknown"),
                #"535-5.7.8 one\r\n535 5.7.8 two [key-unknown]\r\n"#
            ),
            (
                Reply(452, EnhancedStatus(5, 3), "Too many", reason: "recipients"),
                #"452 4.5.3 Too many [recipients]\r\n"#
            ),
            // The longest code and enhanced status. A reply must have room for its text beside them.
            (
                Reply(.max, EnhancedStatus(.max, .max), "text", reason: "reason"),
                #"65535 655.65535.65535 text [reason]\r\n"#
            ),
            // Characters that are not printable ASCII become question marks, so that no text can begin another line.
            (Reply(550, EnhancedStatus(6, 0), "a\r\n250 b"), #"550 5.6.0 a??250 b\r\n"#),
            (Reply(550, EnhancedStatus(6, 0), "a\0b\tc\u{7F}"), #"550 5.6.0 a?b?c?\r\n"#),
            (Reply(550, EnhancedStatus(6, 0), "caf\u{E9} \u{2028}"), #"550 5.6.0 caf?? ???\r\n"#),
        ])
    func form(reply: Reply, expected: String) {
        #expect(Self.wire(reply) == text(octets(expected)))
    }

    @Test(
        "A reply line has at most 512 octets and keeps its reason, however long the text is",
        arguments: [479, 480, 481, 10_000])
    func long(count: Int) {
        for character in ["x", "\u{E9}"] {
            let reply = Reply(
                421, EnhancedStatus(7, 0), String(repeating: character, count: count), reason: "auth-throttled")
            let line = Self.wire(reply)
            #expect(line.utf8.count <= 512)
            #expect(line.hasSuffix(" [auth-throttled]\r\n"))
            #expect(line.split(separator: "\r\n").count == 1)
        }
    }

    @Test("A long text is cut after 480 octets")
    func cut() {
        #expect(Self.wire(Reply(250, nil, String(repeating: "x", count: 480))).utf8.count == 4 + 480 + 2)
        #expect(Self.wire(Reply(250, nil, String(repeating: "x", count: 481))).utf8.count == 4 + 480 + 2)
    }

    @Test(
        "Replies that the session does not create have their codes",
        arguments: [
            (Reply.shuttingDown("relay.test"), "421 4.3.2 relay.test … shutting down …"),
            (Reply.idleTooLong("relay.test"), "421 4.4.2 relay.test … waited … client …"),
            (
                Reply.authenticationTooSlow("relay.test", seconds: 60, isUnderStress: false),
                "421 4.4.2 relay.test … 60 s … authenticate …"
            ),
            (
                Reply.tooManyConnections("relay.test", limit: 5, from: "one address"),
                "421 4.4.5 relay.test … 5 connections … one address …"
            ),
            (
                Reply.tooManyConnections("relay.test", limit: 500, from: nil),
                "421 4.4.5 relay.test … 500 connections …"
            ),
            (
                Reply.transferTooSlow("relay.test", octetsPerSecond: 500),
                "421 4.4.2 relay.test … message … 500 octets a second …"
            ),
            (Reply.messageTooLarge(limit: 99), "552 5.3.4 … 99 octets … [size]"),
        ])
    func ready(reply: Reply, expected: String) {
        #expect(reply.wireLines.reads([expected]))
    }
}
