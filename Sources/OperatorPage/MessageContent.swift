import HTTPServer
import HTTPTypes
import InternetMessage
import NIOCore
import RelayCore

/// The content of a message. All of it comes from outside and is treated as hostile.
enum MessageContent {
    /// The largest number of octets of a message that are read for the page. Attachments after that are left out.
    private static let most = 2 << 20

    /// Nil if the content has been deleted in the meantime.
    static func read(_ page: OperatorPage, _ id: MessageID) async throws -> ReadableMessage? {
        do {
            let body = try await page.store.body(of: id)
            return try await page.turns.with(2 * min(most, body.size)) {
                var message = ReadableMessage(try await octets(of: body, upTo: most))
                if body.size > most { message.isCutOff = true }
                return message
            }
        } catch StoreError.bodyGone {
            return nil
        }
    }

    private static func octets(of body: any StoredBody, upTo most: Int) async throws -> [UInt8] {
        var octets: [UInt8] = []
        while octets.count < min(most, body.size) {
            let piece = try await body.read(at: octets.count, count: min(1 << 18, most - octets.count))
            guard !piece.isEmpty else { break }
            octets += piece
        }
        return octets
    }

    /// What the frame may do: show text, styles and the images that the message itself contains. It may run no script,
    /// make no request and send no form. It has its own origin, so that its content never becomes a part of the page.
    private static let policy =
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

    /// The message's HTML as a separate document.
    static func html(_ page: OperatorPage, _ id: MessageID) async throws -> HTTPAnswer {
        guard let html = try await read(page, id)?.html else { throw StoreError.bodyGone(id) }
        return framed(FramedHTML.octets(of: html.text))
    }

    /// A document for a frame of the page.
    static func framed(_ octets: [UInt8]) -> HTTPAnswer {
        HTTPAnswer(
            .ok, HTTPAnswer.guards(policy: policy, frames: "SAMEORIGIN"), contentType: "text/html; charset=utf-8",
            body: ByteBuffer(bytes: octets))
    }

    /// The message's octets as a download. They are read in pieces while they are sent.
    static func raw(_ page: OperatorPage, _ id: MessageID) async throws -> PageAnswer {
        let body = try await page.store.body(of: id)
        var fields = HTTPAnswer.guards(policy: policy, frames: "DENY")
        fields[.contentDisposition] = "attachment; filename=\"\(id).eml\""
        var answer = HTTPAnswer(.ok, fields, contentType: "message/rfc822", body: ByteBuffer())
        answer.head.headerFields[.contentLength] = String(body.size)
        return .stored(answer, body)
    }
}
