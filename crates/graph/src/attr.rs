//! Attributes: the parameters of an operator, declared once and read by the text form, importers and exporters.

use std::collections::BTreeMap;
use std::fmt;

use crate::OpError;

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// An integer; also a bool, as 0 or 1.
    Int(i64),
    /// A number.
    Float(f32),
    /// A text, such as the name of a mode.
    Str(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
}

/// `3`, `0.5`, `"text"`, `[1,2]`; numbers always carry a point or an exponent, so that they parse back as such.
impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(x) => write!(f, "{x}"),
            Attr::Float(x) => write!(f, "{x:?}"),
            Attr::Str(x) => write!(f, "{x:?}"),
            Attr::Ints(x) => write!(f, "[{}]", x.iter().map(i64::to_string).collect::<Vec<_>>().join(",")),
            Attr::Floats(x) => {
                write!(f, "[{}]", x.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// The attributes of one node by name. Reading takes them out, so that what is left was not understood.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AttrMap(pub BTreeMap<String, Attr>);

impl AttrMap {
    /// Takes a field out, where it is given.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when it has another kind of value than the field.
    pub fn take<T: AttrField>(&mut self, name: &str) -> Result<Option<T>, OpError> {
        let Some(attr) = self.0.remove(name) else { return Ok(None) };
        let shown = attr.to_string();
        let wrong = || OpError::invalid(format!("attribute {name} is {shown}, expected {}", T::EXPECTED));
        T::from_attr(attr).map(Some).ok_or_else(wrong)
    }

    /// Takes a field out that must be given.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when it is missing or has another kind of value.
    pub fn require<T: AttrField>(&mut self, name: &str) -> Result<T, OpError> {
        self.take(name)?.ok_or_else(|| OpError::invalid(format!("attribute {name} is missing")))
    }
}

/// A Rust type that can stand in an attribute.
pub trait AttrField: Sized + PartialEq {
    /// What an attribute must look like, for error messages.
    const EXPECTED: &'static str;
    /// Reads the value; `None` when it does not fit.
    fn from_attr(attr: Attr) -> Option<Self>;
    /// Writes the value; `None` where it is absent.
    fn to_attr(&self) -> Option<Attr>;
}

macro_rules! field {
    ($($rust:ty, $expected:literal, $pattern:pat => $read:expr, |$x:ident| $write:expr;)*) => {
        $(impl AttrField for $rust {
            const EXPECTED: &'static str = $expected;
            fn from_attr(attr: Attr) -> Option<Self> {
                if let $pattern = attr { $read } else { None }
            }
            fn to_attr(&self) -> Option<Attr> {
                let $x = self;
                Some($write)
            }
        })*
    };
}

fn to_usizes(xs: &[i64]) -> Option<Vec<usize>> {
    xs.iter().map(|&x| usize::try_from(x).ok()).collect()
}

field! {
    i64, "an integer", Attr::Int(x) => Some(x), |x| Attr::Int(*x);
    usize, "an integer from 0", Attr::Int(x) => usize::try_from(x).ok(), |x| Attr::Int(*x as i64);
    bool, "0 or 1", Attr::Int(x) => Some(x != 0), |x| Attr::Int(i64::from(*x));
    f32, "a number", Attr::Float(x) => Some(x), |x| Attr::Float(*x);
    String, "a text", Attr::Str(x) => Some(x), |x| Attr::Str(x.clone());
    Vec<i64>, "integers", Attr::Ints(x) => Some(x), |x| Attr::Ints(x.clone());
    Vec<usize>, "integers from 0", Attr::Ints(x) => to_usizes(&x), |x| Attr::Ints(x.iter().map(|&x| x as i64).collect());
    Vec<f32>, "numbers", Attr::Floats(x) => Some(x), |x| Attr::Floats(x.clone());
    tilewise_tensor::DType, "an element type", Attr::Str(x) => x.parse().ok(), |x| Attr::Str(x.to_string());
}

impl<T: AttrField> AttrField for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_attr(attr: Attr) -> Option<Self> {
        T::from_attr(attr).map(Some)
    }

    fn to_attr(&self) -> Option<Attr> {
        self.as_ref().and_then(T::to_attr)
    }
}

/// An operator's attributes as a whole.
pub trait Attributes: Sized {
    /// The names of the operators that the type stands for: one, but for families.
    const NAMES: &'static [&'static str];
    /// The name of this one.
    fn name(&self) -> &'static str;
    /// Reads the attributes of the operator `name`, one of `NAMES`.
    ///
    /// # Errors
    /// [`OpError::Invalid`] for missing or misshapen ones.
    fn read(name: &str, attrs: &mut AttrMap) -> Result<Self, OpError>;
    /// Writes the attributes that differ from their defaults, in declared order.
    fn write(&self) -> Vec<(&'static str, Attr)>;
}

/// Declares an operator: a struct whose fields are its attributes. A field without a default must be given.
macro_rules! operator {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty $(= $default:expr)?),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty),* }

        impl $crate::attr::Attributes for $name {
            const NAMES: &'static [&'static str] = &[stringify!($name)];

            fn name(&self) -> &'static str {
                stringify!($name)
            }

            #[allow(unused_variables, reason = "an operator may have no attribute")]
            fn read(_: &str, attrs: &mut $crate::attr::AttrMap) -> Result<Self, $crate::OpError> {
                Ok($name { $($field: $crate::attr::operator!(@read attrs $field $($default)?)),* })
            }

            fn write(&self) -> Vec<(&'static str, $crate::attr::Attr)> {
                #[allow(unused_mut, reason = "an operator may have no attribute")]
                let mut out = Vec::new();
                $($crate::attr::operator!(@write self out $field: $ty $(= $default)?);)*
                out
            }
        }
    };
    (@read $attrs:ident $field:ident) => { $attrs.require(stringify!($field))? };
    (@read $attrs:ident $field:ident $default:expr) => {
        match $attrs.take(stringify!($field))? { Some(value) => value, None => $default }
    };
    (@write $self:ident $out:ident $field:ident: $ty:ty) => {
        $out.extend($crate::attr::AttrField::to_attr(&$self.$field).map(|attr| (stringify!($field), attr)))
    };
    (@write $self:ident $out:ident $field:ident: $ty:ty = $default:expr) => {{
        let default: $ty = $default;
        if $self.$field != default {
            $crate::attr::operator!(@write $self $out $field: $ty)
        }
    }};
}
pub(crate) use operator;

/// Declares a family: operators without attributes that differ in a function only, which an enum names.
macro_rules! family {
    ($(#[$meta:meta])* $family:ident, $(#[$fn_meta:meta])* $function:ident {
        $($(#[$name_meta:meta])* $name:ident),* $(,)?
    }) => {
        $(#[$fn_meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $function { $($(#[$name_meta])* $name),* }

        impl $function {
            /// Every function.
            pub const ALL: &'static [$function] = &[$($function::$name),*];

            /// The function's name.
            pub const fn name(self) -> &'static str {
                match self { $($function::$name => stringify!($name)),* }
            }
        }

        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $family(
            /// The function.
            pub $function,
        );

        impl $crate::attr::Attributes for $family {
            const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            fn name(&self) -> &'static str {
                self.0.name()
            }

            fn read(name: &str, _: &mut $crate::attr::AttrMap) -> Result<Self, $crate::OpError> {
                let function = $function::ALL.iter().find(|f| f.name() == name);
                let unknown = || $crate::OpError::unsupported(format!("the function {name}"));
                function.copied().map($family).ok_or_else(unknown)
            }

            fn write(&self) -> Vec<(&'static str, $crate::attr::Attr)> {
                Vec::new()
            }
        }
    };
}
pub(crate) use family;

/// Declares an enum whose variants stand in attributes as texts.
macro_rules! attr_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$variant_meta])* $variant),* }

        impl $crate::attr::AttrField for $name {
            const EXPECTED: &'static str = concat!("one of" $(, " ", $text)*);

            fn from_attr(attr: $crate::attr::Attr) -> Option<Self> {
                match attr {
                    $crate::attr::Attr::Str(text) => match text.as_str() { $($text => Some($name::$variant),)* _ => None },
                    $crate::attr::Attr::Int(_) | $crate::attr::Attr::Float(_) | $crate::attr::Attr::Ints(_)
                    | $crate::attr::Attr::Floats(_) => None,
                }
            }

            fn to_attr(&self) -> Option<$crate::attr::Attr> {
                Some($crate::attr::Attr::Str(match self { $($name::$variant => $text),* }.to_owned()))
            }
        }
    };
}
pub(crate) use attr_enum;
