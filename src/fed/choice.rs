//! The list of implementations that an experiment chooses from by name.

/// Declares the modules of a list `module: Type = "name"`, and the enum `$choice` over their types, which serde reads from a table
/// whose key `$tag` has the name. The enum dereferences to `dyn $behaviour`.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $choice:ident by $tag:literal as $behaviour:ident;
        $($module:ident: $type:ident = $name:literal,)*
    ) => {
        $(mod $module; pub use $module::$type;)*

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = $tag)]
        pub enum $choice {
            $(
                #[doc = concat!("See [`", stringify!($type), "`].")]
                #[serde(rename = $name)]
                $type($type),
            )*
        }

        impl $choice {
            /// All names.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
            /// The rows of all options.
            pub const OPTIONS: &'static [&'static [Key]] = &[$($module::OPTIONS),*];

            /// The chosen name.
            pub fn name(&self) -> &'static str {
                match self {
                    $($choice::$type(_) => $name,)*
                }
            }
        }

        impl std::ops::Deref for $choice {
            type Target = dyn $behaviour;

            fn deref(&self) -> &Self::Target {
                match self {
                    $($choice::$type(chosen) => chosen,)*
                }
            }
        }

        impl std::ops::DerefMut for $choice {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $($choice::$type(chosen) => chosen,)*
                }
            }
        }
    };
}
pub(super) use choice;
