import AWSClient
import AsyncHTTPClient
import Hashing
import NIOCore
import RelayCore
import StrictJSON

/// The JSON of a SendEmail request, made around a stored body piece by piece.
///
/// It can be gone through more than once with the same result: once to compute the SHA-256 that is signed, once to send it.
struct SendEmailPayload: Sendable, AsyncSequence {
    typealias Element = ByteBuffer

    private let beginning: [UInt8]
    private let end = Array(#""}}}"#.utf8)
    private let body: any StoredBody

    /// Read from the store at a time; a multiple of 3, so that a piece's base64 needs no padding.
    static let pieceSize = 192 * 1024

    init(_ recipients: [String], feedback: String?, configurationSet: String?, body: any StoredBody) {
        // FromEmailAddress is left out, as it would overwrite the message's From. The header's To and Cc don't count for
        // SES when there is a Destination.
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

    /// Of the whole JSON, in bytes.
    var length: Int { beginning.count + (body.size + 2) / 3 * 4 + end.count }

    /// Whether what was read of it may still be sent.
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

    /// A full piece, or what is left. The store may give less than it is asked for.
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

/// A payload whose hash is known, ready to be sent, any number of times.
struct PreparedPayload: Sendable {
    let hash: String
    let length: Int
    private let content: Content

    fileprivate enum Content {
        case whole(ByteBuffer, SendEmailPayload)
        case pieces(SendEmailPayload)
    }

    /// Payloads up to this length are made once and kept for sending; longer ones are made twice.
    static let wholeLimit = 384 * 1024

    init(_ payload: SendEmailPayload) async throws {
        length = payload.length
        let isWhole = length <= PreparedPayload.wholeLimit
        var hasher = SHA256()
        var whole = ByteBuffer()
        for try await piece in payload {
            piece.withUnsafeReadableBytes { hasher.update($0) }
            // The piece itself where it is all there is.
            if whole.readableBytes == 0 { whole = piece } else if isWhole { whole.writeImmutableBuffer(piece) }
        }
        hash = hasher.digest().hexadecimal
        content = isWhole ? .whole(whole, payload) : .pieces(payload)
    }

    /// Its claim was lost after it was read: another relay may send the message.
    private static let withdrawn = PayloadFault.unreadable("the relay has lost its claim to the message")

    /// The payload as the body of a request, which tells `progress` how far it has come.
    ///
    /// AsyncHTTPClient asks for it once a connection stands and the request's head is on its way.
    func upload(_ progress: UploadProgress, on group: any EventLoopGroup) -> HTTPClient.Body {
        .stream(contentLength: Int64(length)) { writer in
            switch content {
            case .whole(let buffer, let payload):
                guard payload.mayBeSent else { return group.any().makeFailedFuture(PreparedPayload.withdrawn) }
                // Before it is handed over: from then on SES may have the whole request.
                progress.handedOver()
                return writer.write(.byteBuffer(buffer))
            case .pieces(let payload):
                // Here, not in the task, which may begin after the connection's end is known.
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

/// For each 12 bits their two digits, as they stand in memory.
private let base64Pairs: [UInt16] = {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    return digits.flatMap { first in
        digits.map { UInt16(littleEndian: UInt16($0) << 8 | UInt16(first)) }
    }
}()
