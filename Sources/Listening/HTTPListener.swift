/// Where the relay accepts HTTP, and how its connections begin.
public struct HTTPListener: Hashable, Sendable {
    /// The address or the socket.
    public var place: ListenPlace
    /// Whether connections begin with TLS (https).
    public var isTLS: Bool
    /// Whether each connection must begin with a PROXY header, which comes before TLS.
    public var takesProxyHeader: Bool

    public init(_ place: ListenPlace, isTLS: Bool, takesProxyHeader: Bool = false) {
        self.place = place
        self.isTLS = isTLS
        self.takesProxyHeader = takesProxyHeader
    }
}
