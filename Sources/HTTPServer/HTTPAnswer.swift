import HTTPTypes
import NIOCore
import RelayCore
import StrictJSON

/// The answer to a request.
package struct HTTPAnswer: Sendable {
    package var head: HTTPResponse
    package var body: ByteBuffer

    package init(_ status: HTTPResponse.Status, _ fields: HTTPFields = [:], contentType: String, body: ByteBuffer) {
        var fields = fields
        fields[.contentType] = contentType
        fields[.contentLength] = String(body.readableBytes)
        // Answers contain information about one key's mail.
        fields[.cacheControl] = "no-store"
        head = HTTPResponse(status: status, headerFields: fields)
        self.body = body
    }

    init(_ status: HTTPResponse.Status, _ document: JSON, _ fields: HTTPFields = [:]) {
        self.init(status, fields, contentType: "application/json", body: ByteBuffer(bytes: document.bytes))
    }

    init(_ problem: Problem, _ fields: HTTPFields = [:]) {
        var fields = fields
        if let challenge = problem.authenticate { fields[.wwwAuthenticate] = challenge.value }
        if let wait = problem.retryAfter { fields[.retryAfter] = String(max(1, wait.secondsRoundedUp)) }
        if let allow = problem.allow { fields[.allow] = allow }
        self.init(
            problem.status, fields, contentType: "application/problem+json",
            body: ByteBuffer(bytes: JSON(problem).bytes))
    }
}

extension HTTPAnswer {
    /// An answer without a body, and so without type and length (RFC 9110 section 15.3.5).
    static var noContent: HTTPAnswer {
        var answer = HTTPAnswer(.noContent, .null)
        answer.head.headerFields[.contentType] = nil
        answer.head.headerFields[.contentLength] = nil
        answer.body.clear()
        return answer
    }
}

extension JSON {
    /// The problem document (RFC 9457 section 3).
    init(_ problem: Problem) {
        var object = JSONObject([
            .init("type", JSON(problem.type)), .init("title", JSON(problem.title)),
            .init("status", JSON(problem.status.code)), .init("detail", JSON(problem.detail)),
            .init("code", JSON(problem.code.word)),
        ])
        if !problem.mistakes.isEmpty {
            let mistakes = problem.mistakes.map { mistake -> JSON in
                ["detail": JSON(mistake.detail), "pointer": JSON(mistake.pointer.fragment)]
            }
            object.append("errors", .array(mistakes))
        }
        self = .object(object)
    }
}

extension Duration {
    var secondsRoundedUp: Int { Int(inSeconds.rounded(.up)) }
}

extension OpenAPIDocument {
    /// The document, which is the same for all clients.
    static let answer = HTTPAnswer(.ok, contentType: "application/json", body: ByteBuffer(string: text))
}
