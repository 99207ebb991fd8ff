//! Kinds that are declared at run time, by CustomResourceDefinition objects.
