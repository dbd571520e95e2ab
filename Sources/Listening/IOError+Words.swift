import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension IOError {
    /// The system's text for the error, such as "Address already in use". NIO's own description begins with the name of
    /// a function.
    public var words: String { String(cString: strerror(errnoCode)) }
}
