import AWSClient
import AsyncHTTPClient
import Hashing
import NIOCore
import RelayCore
import StrictJSON

/// The JSON of a SendEmail request. It is made around a stored body, piece by piece.
///
/// It can be iterated more than once with the same result: once to compute the SHA-256 that is signed, once to send it.
struct SendEmailPayload: Sendable, AsyncSequence {
    typealias Element = ByteBuffer

    private let beginning: [UInt8]
    private let end = Array(#""}}}"#.utf8)
    private let body: any StoredBody

    /// The number of bytes that are read from the store at a time. It is a multiple of 3, so that the base64 of a piece
    /// needs no padding.
    static let pieceSize = 192 * 1024

    init(_ recipients: [String], feedback: String?, configurationSet: String?, body: any StoredBody) {
        // FromEmailAddress is left out, because it would overwrite the message's From. When there is a Destination, SES
        // ignores the header's To and Cc.
        var text = #"{"Destination":{"ToAddresses":["#
        text += recipients.map(SendEmailPayload.quoted).joined(separator: ",") + "]}"
        if let feedback {
            text += #","FeedbackForwardingEmailAddress":"# + SendEmailPayload.quoted(feedback)
        }
        if let configurationSet { text += #","ConfigurationSetName":"# + SendEmailPayload.quoted(configurationSet) }
        text += #","Content":{"Raw":{"Data":""#
        beginning = Array(text.utf8)
        self.body = body
    }

    /// `text` as a JSON string, with its quotation marks (RFC 8259 section 7).
    private static func quoted(_ text: String) -> String { String(decoding: JSON(text).bytes, as: UTF8.self) }

    /// The length of the whole JSON in bytes.
    var length: Int { beginning.count + (body.size + 2) / 3 * 4 + end.count }

    /// Whether the data that was read may still be sent.
    var mayBeSent: Bool { body.mayBeSent }

    func makeAsyncIterator() -> Iterator { Iterator(payload: self) }

    struct Iterator: AsyncIteratorProtocol {
        private let payload: SendEmailPayload
        private var offset = 0
        private var isOver = false

        init(payload: SendEmailPayload) { self.payload = payload }

        mutating func next() async throws -> ByteBuffer? {
            guard !isOver else { return nil }
            try Task.checkCancellation()
            let isFirst = offset == 0
            let bytes = try await payload.piece(at: offset)
            offset += bytes.count
            isOver = offset == payload.body.size
            var buffer = ByteBuffer()
            buffer.reserveCapacity(payload.beginning.count + (bytes.count + 2) / 3 * 4 + payload.end.count)
            if isFirst { buffer.writeBytes(payload.beginning) }
            buffer.writeBase64(of: bytes)
            if isOver { buffer.writeBytes(payload.end) }
            return buffer
        }
    }

    /// Reads a full piece or what is left. The store may return less than it is asked for.
    private func piece(at offset: Int) async throws -> [UInt8] {
        let wanted = Swift.min(SendEmailPayload.pieceSize, body.size - offset)
        var bytes: [UInt8] = []
        while bytes.count < wanted {
            let more: [UInt8]
            do {
                more = try await body.read(at: offset + bytes.count, count: wanted - bytes.count)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                throw PayloadFault.unreadable(String(describing: error))
            }
            guard !more.isEmpty, bytes.count + more.count <= wanted else { throw PayloadFault.wrongSize }
            bytes = bytes.isEmpty ? more : bytes + more
        }
        return bytes
    }
}

/// A payload whose hash is known. It can be sent any number of times.
struct PreparedPayload: Sendable {
    let hash: String
    let length: Int
    private let content: Content

    fileprivate enum Content {
        case whole(ByteBuffer, SendEmailPayload)
        case pieces(SendEmailPayload)
    }

    /// The largest payload, in bytes, that is made once and kept for sending. Longer payloads are made twice.
    static let wholeLimit = 384 * 1024

    init(_ payload: SendEmailPayload) async throws {
        length = payload.length
        let isWhole = length <= PreparedPayload.wholeLimit
        var hasher = SHA256()
        var whole = ByteBuffer()
        for try await piece in payload {
            piece.withUnsafeReadableBytes { hasher.update($0) }
            // If there is only one piece, the piece itself is used.
            if whole.readableBytes == 0 { whole = piece } else if isWhole { whole.writeImmutableBuffer(piece) }
        }
        hash = hasher.digest().hexadecimal
        content = isWhole ? .whole(whole, payload) : .pieces(payload)
    }

    /// The claim was lost after the payload was read, so another relay may send the message.
    private static let withdrawn = PayloadFault.unreadable("the relay has lost its claim to the message")

    /// The payload as the body of a request. It reports to `progress` how much was sent.
    ///
    /// AsyncHTTPClient asks for the body after a connection is open and the request's head is being sent.
    func upload(_ progress: UploadProgress, on group: any EventLoopGroup) -> HTTPClient.Body {
        .stream(contentLength: Int64(length)) { writer in
            switch content {
            case .whole(let buffer, let payload):
                guard payload.mayBeSent else { return group.any().makeFailedFuture(PreparedPayload.withdrawn) }
                // Report this before the data is handed over, because afterwards SES may have the whole request.
                progress.handedOver()
                return writer.write(.byteBuffer(buffer))
            case .pieces(let payload):
                // Report this here and not in the task, because the task may begin after the connection's end is known.
                progress.began()
                let isWritten = group.any().makePromise(of: Void.self)
                isWritten.completeWithTask {
                    var left = length
                    for try await piece in payload {
                        guard payload.mayBeSent else { throw PreparedPayload.withdrawn }
                        left -= piece.readableBytes
                        if left == 0 { progress.handedOver() }
                        try await writer.write(.byteBuffer(piece)).get()
                    }
                }
                return isWritten.futureResult
            }
        }
    }
}

extension ByteBuffer {
    /// Appends `bytes` in base64 (RFC 4648), with padding.
    mutating func writeBase64(of bytes: [UInt8]) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: (bytes.count + 2) / 3 * 4) { target in
            base64Pairs.withUnsafeBufferPointer { pairs in
                bytes.withUnsafeBufferPointer { source in
                    var (from, to) = (0, 0)
                    while from + 3 <= source.count {
                        let group = Int(source[from]) << 16 | Int(source[from + 1]) << 8 | Int(source[from + 2])
                        target.storeBytes(of: pairs[group >> 12], toByteOffset: to, as: UInt16.self)
                        target.storeBytes(of: pairs[group & 0xFFF], toByteOffset: to + 2, as: UInt16.self)
                        from += 3
                        to += 4
                    }
                    let left = source.count - from
                    guard left > 0 else { return to }
                    let group = Int(source[from]) << 16 | (left == 2 ? Int(source[from + 1]) << 8 : 0)
                    target.storeBytes(of: pairs[group >> 12], toByteOffset: to, as: UInt16.self)
                    target.storeBytes(of: pairs[group & 0xFFF], toByteOffset: to + 2, as: UInt16.self)
                    target[to + 3] = UInt8(ascii: "=")
                    if left == 1 { target[to + 2] = UInt8(ascii: "=") }
                    return to + 4
                }
            }
        }
    }
}

/// For each value of 12 bits its two base64 digits, in memory order.
private let base64Pairs: [UInt16] = {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    return digits.flatMap { first in
        digits.map { UInt16(littleEndian: UInt16($0) << 8 | UInt16(first)) }
    }
}()
