//! Why an argument cannot be read.

/// An argument that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument {position} ({text:?}) {fault}")]
pub struct ArgumentError {
    /// Which of the probe's arguments, from 1 on.
    pub position: usize,
    /// The argument as the note has it, cut when it is very long.
    pub text: String,
    /// What is wrong with it.
    pub fault: ArgumentFault,
}

impl ArgumentError {
    /// Most characters that are kept of an argument; compilers write at most some tens.
    const MAX_TEXT: usize = 80;

    pub(super) fn new(index: usize, text: &str, fault: ArgumentFault) -> Self {
        Self { position: index + 1, text: text.chars().take(Self::MAX_TEXT).collect(), fault }
    }
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentFault {
    /// The size before `@` is missing, as in notes of SystemTap before 1.3.
    #[error("does not begin with its size, such as `8@`: build with a newer sys/sdt.h")]
    NoSize,
    /// A size beyond those of [`Size`](super::Size).
    #[error("has a size other than 1, 2, 4 or 8 bytes")]
    Size,
    /// A size such as `8f`.
    #[error("is a floating-point number, which BPF cannot read")]
    FloatingPoint,
    /// Relative to the instruction pointer, or to a symbol.
    #[error("is at a symbol or relative to the instruction pointer, which cannot be resolved here")]
    Symbol,
    /// In a segment such as `%fs`.
    #[error("is in a segment of memory (thread-local storage), which cannot be resolved here")]
    Segment,
    /// An address without a register.
    #[error("is at a fixed address, without a base register")]
    NoBase,
    /// `%ah`, `%bh`, `%ch`, `%dh`. Compilers don't place a probe's argument there, so that
    /// registers need no offset of a byte.
    #[error("is the second byte of a register, which is not supported")]
    HighByte,
    /// Not a general-purpose register of this machine.
    #[error("is in a register that a uprobe does not see, or that this machine does not have")]
    Register,
    /// A register of 32 or fewer bits as an address, or the like.
    #[error("has an address in a register that is not 64 bits wide")]
    AddressRegister,
    /// The displacement does not fit 32 bits.
    #[error("has a displacement of more than 32 bits")]
    Displacement,
    /// The index is scaled by something that processors don't do.
    #[error("has an index with an impossible scale")]
    Scale,
    /// The instruction changes its base register: `[x0, 8]!`.
    #[error("would change its base register when it is read")]
    WriteBack,
    /// Anything else.
    #[error("is not an operand as compilers write it")]
    Syntax,
}
