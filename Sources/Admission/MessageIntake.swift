import InternetMessage
import RelayCore

/// The content of one message while it is received. The content is prepared for SES as it arrives, counted, and held in
/// memory until it goes to disk.
///
/// A value without I/O. The `Reception` takes the bytes out when there are at least ``inlineLimit``
/// (``takeBuffered()``), and decides at the end what happens to them. Once the message is sure to be refused, nothing
/// more of it is kept.
public struct MessageIntake: Sendable {
    private var preparation: MessagePreparation
    private let maximumSize: Int
    /// The number of octets received, before the preparation changes anything.
    public private(set) var received = 0
    private var buffer: [UInt8] = []
    private var isOverSize = false
    private var isAbandoned = false

    /// Hashes what identifies the message when it is sent again. Nil when no hash is needed.
    private var hash: ContentHash?

    /// - Parameters:
    ///   - maximumSize: the largest content that is accepted, in octets as received.
    ///   - hash: gets the content, for ``digest``; nil when no digest is needed.
    public init(
        policy: PreparationPolicy, context: PreparationContext, maximumSize: Int, hash: ContentHash? = nil
    ) {
        preparation = MessagePreparation(policy: policy, context: context)
        self.maximumSize = maximumSize
        self.hash = hash
        buffer.reserveCapacity(MessageIntake.usualSize)
    }

    /// The number of octets that most messages do not exceed.
    private static let usualSize = 5120

    /// A message of this number of octets or more goes to the spool, piece by piece.
    public static let inlineLimit = 128 * 1024
    /// The size of a piece, in octets.
    public static let chunkSize = 128 * 1024

    /// Takes the next octets of the content, as they were received.
    public mutating func consume(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        if received > maximumSize, !isOverSize {
            isOverSize = true
            buffer = []
        }
        guard !isOverSize, !isAbandoned else { return }
        let before = buffer.count
        let wasInHeader = preparation.headerSize == nil
        preparation.consume(bytes, into: &buffer)
        hash(from: before, wasInHeader)
        if preparation.rejection != nil {
            isAbandoned = true
            buffer = []
        }
    }

    /// Hashes the octets that were appended to the buffer: the client's own fields of the header section, and the body.
    private mutating func hash(from before: Int, _ wasInHeader: Bool) {
        guard hash != nil, let headerSize = preparation.headerSize else { return }
        buffer.withUnsafeBytes { buffer in
            var start = before
            if wasInHeader {
                for range in preparation.ownFields {
                    hash?.update(
                        UnsafeRawBufferPointer(
                            rebasing: buffer[(before + range.lowerBound)..<(before + range.upperBound)]))
                }
                start += headerSize
            }
            guard start < buffer.count else { return }
            hash?.update(UnsafeRawBufferPointer(rebasing: buffer[start...]))
        }
    }

    /// The `ContentHash` over the prepared body and the client's own header fields, without the trace fields.
    /// Nil when no hash was given. Read it only after the message has been finished.
    public var digest: (code: [UInt8], former: [UInt8]?)? { hash?.finished() }

    /// The number of prepared octets that have not been taken out with `takeBuffered()` yet.
    public var buffered: Int { buffer.count }

    /// Whether the message is sure to be refused, so that nothing of it need be kept.
    public var keepsNothing: Bool { isOverSize || isAbandoned }

    /// Call this when the store has failed. The rest of the content is then only counted.
    public mutating func abandon() {
        isAbandoned = true
        buffer = []
    }

    /// Takes out the prepared octets that are held.
    public mutating func takeBuffered() -> [UInt8] {
        exchange(&buffer, [])
    }

    /// Ends the content. Returns the summary of its header, or the refusal. The prepared octets that are left can still
    /// be taken out afterwards.
    public mutating func finish() -> Result<HeaderSummary, Refusal> {
        if isOverSize {
            return .failure(Refusal(.size, "The message is larger than the \(maximumSize) octets allowed here"))
        }
        let before = buffer.count
        let wasInHeader = preparation.headerSize == nil
        let end = preparation.finish(into: &buffer)
        hash(from: before, wasInHeader)
        switch end {
        case .success(let summary): return .success(summary)
        case .failure(let rejection):
            buffer = []
            return .failure(Refusal(rejection))
        }
    }
}

extension Refusal {
    init(_ rejection: MessageRejection) {
        let reason: RefusalReason =
            switch rejection {
            case .from: .headerFrom
            case .duplicateField: .headerRepeated
            case .headerTooLarge, .malformedHeader: .headerSyntax
            case .lineTooLong: .lineLength
            case .address: .headerAddress
            case .mime: .headerMIME
            case .attachment: .attachment
            case .loop: .loop
            case .relayField: .invalid
            }
        self.init(reason, rejection.explanation)
    }
}

func exchange<T>(_ value: inout T, _ new: T) -> T {
    let old = value
    value = new
    return old
}
